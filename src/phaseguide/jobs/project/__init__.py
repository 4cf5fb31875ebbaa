"""What is done with the fields of a project: segmented again, results kept in it, pictures of them."""
