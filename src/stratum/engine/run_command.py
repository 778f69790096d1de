"""migrate and seed: the application's own commands, under the lock and behind the tripwire."""

from __future__ import annotations

from collections.abc import Mapping

from stratum.core.errors import StratumError
from stratum.core.plan import Effect, Facts, Plan, Step
from stratum.engine.restore_point import NAME_MOMENT, name_action, name_steps
from stratum.engine.run_plan import new_plan_id
from stratum.engine.tripwire import record_identity, refuse_look_alike
from stratum.ports import Action, Outcome, Ports, Prepared


def run_command(ports: Ports, command: str) -> Outcome:
    """Run `migrate` or `seed` of stratum.toml with DATABASE_URL set.

    What the command does to the data is its own; Stratum refuses to run it on a look-alike. Raises
    `no-command`, `command-failed` and the tripwire's errors.
    """
    argv = getattr(ports.stack.commands, command)
    if not argv:
        raise StratumError("no-command", command=command)
    if ports.project is None:
        refuse_look_alike(ports)
    else:
        ports.project.inside(("identity", "check"))
    now = ports.clock.now()
    plan = Plan(
        id=new_plan_id(now),
        verb=command,
        stack=ports.stack.name,
        created_at=now,
        headline=f"run the stack's {command} command",
        steps=(
            *(name_steps(ports) if command == "migrate" else ()),
            Step(name="run", summary=f"run {' '.join(argv)}", effect=Effect.ADDS,
                 way_back="the command's own; `stratum restore` brings the last backup back"),
            Step(name="remember", summary="record the cluster's identity as of now"),
        ),
        params={"command": command},
    )  # fmt: skip
    return ports.run(Prepared(plan=plan, actions=command_actions(plan, ports)), ports)


def command_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the plan's steps do. What the command itself committed cannot be taken back here."""
    command = str(plan.params["command"])

    def run(_: Facts) -> None:
        run_application(ports, command)

    def remember(_: Facts) -> None:
        if ports.project is None:
            record_identity(ports)
        else:
            ports.project.inside(("identity", "check", "--record"))

    named = any(step.name == NAME_MOMENT.name for step in plan.steps)
    naming = (name_action(plan, ports),) if named else ()
    return (*naming, Action(name="run", run=run), Action(name="remember", run=remember))


def run_application(ports: Ports, command: str, *, told: Mapping[str, str] | None = None) -> None:
    """Run one of `[commands]` by its name, with `told` in its environment besides.

    Raises `command-failed` with the end of what it said.
    """
    try:
        ports.runtime.run_command(getattr(ports.stack.commands, command), told=told)
    except StratumError as error:
        if error.code != "tool-failed":
            raise
        code, said = error.details["exit_code"], error.details["stderr"]
        raise StratumError("command-failed", command=command, exit_code=code, stderr=said) from None
