"""The exports of each maker's software: one module a maker, each with `recognises` and `parse`."""
