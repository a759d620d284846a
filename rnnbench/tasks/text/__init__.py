"""Named entities: in files of the user's, or generated."""
