"""The bins of the `scores` table, in words."""


def bin_label(low: int, high: int) -> str:
    """Returns the name of the bin low..high (both inclusive): "3-4", or "3" if it has one value."""
    return f"{low}-{high}" if low < high else f"{high}"
