"""Tasks on text from files of the user's."""
