"""Words in, words out: one file per verb; the only package that prints or knows typer."""
