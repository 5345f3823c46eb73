"""The report: figures, tables, and the two documents that hold them, one HTML file and one PDF."""

from halfmax.report.document import Comparison, Curve, Exclusion, Plate, Provenance, StudyReport
from halfmax.report.dualactivity import dual_activity
from halfmax.report.figure import Figure, figures, save_figure
from halfmax.report.html import write_html
from halfmax.report.pdf import write_pdf

__all__ = [
    "Comparison",
    "Curve",
    "Exclusion",
    "Figure",
    "Plate",
    "Provenance",
    "StudyReport",
    "dual_activity",
    "figures",
    "save_figure",
    "write_html",
    "write_pdf",
]
