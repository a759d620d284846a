"""The results as one HTML page, interactive and self-contained.

The page needs no network and no other file: plotly's library and all data are in it, and its content security policy
lets nothing else load or run. Text from records is escaped, for HTML and for plotly, which takes tags in labels for
markup. Figures are JSON that `report.js` draws as they come into view. The same records give the same bytes.
"""

from rnnbench.figures.page.writing import PAGE, write_report

__all__ = ["PAGE", "write_report"]
