"""The results as one HTML page, interactive and self-contained.

The page needs no network and no other file: it contains the plotly library and all data, and its content security
policy lets nothing else load or run. Text from records is escaped, for HTML and for plotly, which interprets tags in
labels. Figures are JSON that `report.js` draws when they come into view. Equal records give an equal page.
"""

from rnnbench.figures.page.writing import PAGE, write_report

__all__ = ["PAGE", "write_report"]
