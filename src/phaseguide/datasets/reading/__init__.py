"""What the layouts share: options, fields and entries, outlines, colour tables, files, splits."""
