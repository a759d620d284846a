"""Images that are read pixel by pixel or row by row, one source of images per file."""
