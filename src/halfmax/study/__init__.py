"""The study: a document (`study.toml`) beside its raw files, and the road from there to results."""

from halfmax.study.document import StudyDocument, load, schema
from halfmax.study.movie import MovieRun, run_movie
from halfmax.study.results import records, write_results
from halfmax.study.road import Outcome, analyse, run
from halfmax.study.start import empty_study, study_from_files, write_example

__all__ = [
    "MovieRun",
    "Outcome",
    "StudyDocument",
    "analyse",
    "empty_study",
    "load",
    "records",
    "run",
    "run_movie",
    "schema",
    "study_from_files",
    "write_example",
    "write_results",
]
