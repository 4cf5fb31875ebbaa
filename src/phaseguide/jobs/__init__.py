"""What one press or one command does, as generators of `phaseguide.events`. No Qt, no napari, no typer, no rich."""
