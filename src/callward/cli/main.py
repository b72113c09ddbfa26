import typer

app = typer.Typer()


@app.callback()
def root() -> None:
    """Callward."""

def main() -> int:
    app()
    return 0
