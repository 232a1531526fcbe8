"""Packages of the optional extras: where one is missing, a line says how to install it."""

from importlib import import_module

from gpcp.core.errors import InputError


def need(*modules: str, extra: str, use: str) -> None:
    """Import the modules of an extra, or say how to install it.

    Parameters
    ----------
    *modules : str
        Modules that the extra brings, such as ``"optuna"``.
    extra : str
        Its name in ``pyproject.toml``.
    use : str
        What needs them, such as ``"a sweep"``; it begins the message.

    Raises
    ------
    InputError
        One cannot be imported.
    """
    for module in modules:
        try:
            import_module(module)
        except ImportError as error:
            why = "is not installed" if error.name == module else f"cannot be imported ({error})"
            raise InputError(f"{use} needs {module}, which {why}: pip install 'gpcp[{extra}]'") from error
