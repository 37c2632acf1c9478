"""A person's own theme and keys: taken from the settings file, checked, and kept when they change."""

from __future__ import annotations

from pathlib import Path

from rich.style import Style
from textual.binding import Binding
from textual.dom import DOMNode

from imfl_engine.errors import ImflError
from imfl_tui.keymap import bindings_by_id, check_keymap, command_letters, key_name
from imfl_tui.preferences import Preferences, load_preferences, preferences_path, save_preferences
from imfl_tui.reporting import ReportingApp
from imfl_tui.screens import registry
from imfl_tui.screens.base import HOME
from imfl_tui.themes import DARK, LIGHT, span_styles, theme_variables


class PersonalApp(ReportingApp):
    """An app that follows a person's settings file; what is wrong in it is kept as `problems`."""

    def __init__(self, preferences_file: Path | None = None) -> None:
        super().__init__()
        self._preferences_file = preferences_file or preferences_path()
        self._clashes_told: set[str] = set()
        self._styles_of = ""
        self._span_styles: dict[str, Style] = {}
        self.preferences = Preferences()
        self.problems: list[ImflError] = []
        self._codes: dict[str, str] = {}
        self.key_names: dict[str, str] = {}
        """The keys a person has given commands, by their ids, as they are written."""
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self._load_preferences()

    @property
    def preferences_folder(self) -> Path:
        """Where the person's settings and drafts lie."""
        return self._preferences_file.parent

    def _load_preferences(self) -> None:
        try:
            self.preferences = load_preferences(self._preferences_file)
        except ImflError as error:
            self.problems.append(error)
            return
        if self.preferences.theme not in self.available_themes:
            self.problems.append(
                ImflError(
                    f"There is no theme called '{self.preferences.theme}' "
                    f"(settings file {self._preferences_file}).",
                    "The palette's Theme command lists them.",
                )
            )
            self.preferences = Preferences(keys=self.preferences.keys, other=self.preferences.other)
        if self.preferences.keys:
            self._remap(self.preferences.keys)

    def _remap(self, wishes: dict[str, str]) -> None:
        groups = [("app", self.BINDINGS), *registry.bindings()]
        keys, problems = check_keymap(wishes, groups, registry.window_bindings())
        self.set_keymap(keys)
        self._codes = keys
        self.key_names = {name: key_name(codes.split(",")[0]) for name, codes in keys.items()}
        if problems:
            self.problems.append(
                ImflError(
                    f"Some keys of {self._preferences_file} cannot be used: " + " ".join(problems),
                    "The usual keys work instead.",
                )
            )

    def key_of(self, command: str) -> str:
        """The key of a command by its id, as it is mapped now."""
        if command in self.key_names:
            return self.key_names[command]
        owner = command.partition(".")[0]
        bindings = [*self.BINDINGS, HOME] if owner == "app" else registry.bindings_of(owner)
        return key_name(bindings_by_id([(owner, bindings)])[command].key.split(",")[0])

    def letters_of(self, mode: str) -> frozenset[str]:
        """The letters and digits that are commands on a screen, as they are mapped now."""
        return command_letters([self.BINDINGS, registry.bindings_of(mode)], self._codes)

    def handle_bindings_clash(self, clashed_bindings: set[Binding], node: DOMNode) -> None:
        """Say once that two commands want one key; `check_keymap` refuses these beforehand."""
        for binding in clashed_bindings:
            if binding.id and binding.id not in self._clashes_told:
                self._clashes_told.add(binding.id)
                self.notify(
                    f"“{key_name(binding.key)}” is taken twice: {binding.id} lost it.",
                    severity="warning",
                    markup=False,
                )

    # ------------------------------------------------------------------ themes

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Our own colour names, for every theme."""
        return theme_variables(self.current_theme)

    @property
    def span_styles(self) -> dict[str, Style]:
        """How spans are drawn in the present theme."""
        if self._styles_of != self.theme:
            self._styles_of = self.theme
            self._span_styles = span_styles(
                self.get_css_variables(), ansi=self.native_ansi_color, no_color=self.no_color
            )
        return self._span_styles

    def watch_theme(self, theme: str) -> None:
        """Remember the theme a person chose in the palette."""
        if self.is_running and theme != self.preferences.theme and not self._exit:
            changed = Preferences(
                theme, self.preferences.show_opinions, self.preferences.keys, self.preferences.other
            )
            self.preferences = changed
            with self.reporting():
                save_preferences(self._preferences_file, changed)

    def action_toggle_dark(self) -> None:
        """Change between the dark and the light theme."""
        self.theme = "imfl-light" if self.current_theme.dark else "imfl-dark"
