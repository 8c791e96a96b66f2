"""Being here puts this folder on the import path: every test can import `cases` and `reference`."""
