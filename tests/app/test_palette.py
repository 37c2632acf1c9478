"""The palette and the help know every command of every screen, as it is mapped now."""

from __future__ import annotations

from driving import go
from fake_project import FakeProject
from textual.binding import Binding

from imfl_tui.screens import registry
from imfl_tui.screens.help import key_rows


async def test_every_command_that_works_is_in_the_palette_and_in_the_help(make_app):
    app = make_app(FakeProject())
    async with app.run_test(size=(100, 30)) as pilot:
        for entry in registry.SCREENS[:-1]:
            await go(app, pilot, entry.mode)
            await pilot.pause(0.1)
            declared = {b.action: b for b in entry.load().BINDINGS if isinstance(b, Binding)}
            working = {
                active.binding.action
                for active in app.screen.active_bindings.values()
                if active.enabled and active.binding.id
            }
            told = " ".join(f"{c.help} " for c in app.get_system_commands(app.screen))
            helped = {name for _, _, name in key_rows(app.screen)}
            wanted = {b.id for action, b in declared.items() if action in working}
            assert len(wanted) > 1
            assert {name for name in wanted if f"· {name} " not in told} == set()
            assert wanted <= helped
            assert all(f"· {name} " in told for name in ("app.palette", "app.help", "app.quit"))
            titles = {c.title for c in app.get_system_commands(app.screen)}
            others = {e.mode for e in registry.SCREENS[:-1]} - {entry.mode}
            assert {f"go: {mode}" for mode in others} <= titles


async def test_a_command_of_the_palette_does_what_its_key_does(make_app):
    project = FakeProject()
    app = make_app(project)
    async with app.run_test(size=(100, 30)) as pilot:
        await go(app, pilot, "label", "12 of 40")
        await pilot.press("ctrl+p")
        await pilot.pause(0.3)
        await pilot.press(*"label: skip")
        await pilot.pause(0.5)
        for _ in range(2):  # chooses the command found, then runs it
            await pilot.press("enter")
            await pilot.pause(0.3)
        assert project.events[-1].action.value == "skip"
