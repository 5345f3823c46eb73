"""Calcium: traces of cells and of wells, from movies and kinetic plates to responses."""
