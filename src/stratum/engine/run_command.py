"""migrate and seed: the application's own commands, under the lock and behind the tripwire."""

from __future__ import annotations

from stratum.core.errors import StratumError
from stratum.core.plan import Effect, Facts, Plan, Step
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
    refuse_look_alike(ports)
    now = ports.clock.now()
    plan = Plan(
        id=new_plan_id(now),
        verb=command,
        stack=ports.stack.name,
        created_at=now,
        headline=f"run the stack's {command} command",
        steps=(
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
        try:
            ports.runtime.run_command(getattr(ports.stack.commands, command))
        except StratumError as error:
            if error.code != "tool-failed":
                raise
            code, said = error.details["exit_code"], error.details["stderr"]
            raise StratumError("command-failed", command=command, exit_code=code, stderr=said) from None

    def remember(_: Facts) -> None:
        record_identity(ports)

    return (Action(name="run", run=run), Action(name="remember", run=remember))
