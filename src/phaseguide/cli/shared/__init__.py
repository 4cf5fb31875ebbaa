"""What every command needs: errors as one sentence, tables and JSON, progress, the options of a ratio."""
