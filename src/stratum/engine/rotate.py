"""rotate: new passwords and a new signing key, in the server, in .env and in what runs, all together or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stratum.core.containers import BACKUP
from stratum.core.errors import StratumError
from stratum.core.plan import Effect, Facts, Plan, Step
from stratum.core.services import ServicePhase
from stratum.engine.deploy import names_in, observe_volume
from stratum.engine.run_plan import new_plan_id
from stratum.engine.tripwire import refuse_look_alike
from stratum.ports import Action, Outcome, Ports, Prepared, RunState
from stratum.rotation import Rotation, SecretName

VERB = "rotate"
_LAY_OUT = Step(
    name="lay-out",
    summary="make the new values, and write the new .env beside the old one, for its owner alone",
    effect=Effect.ADDS,
    way_back="what was started with the new values is started with the old ones, and these are deleted",
)
_SERVER = Step(
    name="server",
    summary="give the server's roles the new passwords, hashed here",
    way_back="they get the old ones again",
)
_ENV = Step(
    name="env",
    summary="put the new .env in the place of the old one; every other line of it stays as it is",
    way_back="the old one is put back",
)
_HAND_OVER = Step(name="services", summary="start what uses them anew, and wait until it serves",
                  way_back="with the first step's way back")  # fmt: skip
_PROVE = Step(name="prove", summary="sign in with each new password, and see the old one refused")
_SETTLE = Step(name="settle", summary="delete the old values", way_back="`stratum rotate` makes new ones again")


def rotate(ports: Ports, names: Sequence[SecretName] = (), *, at_once: bool = False) -> Outcome:
    """Change these secrets of the stack, or all of them. Sessions that are open go on, but for `at_once`.

    No value is in the plan or the journal. Whatever fails before the last step, the old secrets are in force again
    everywhere. Between the second and the fourth step nobody new can sign in with what .env says; who is connected
    stays so. Raises `not-from-here`, `not-running`, `rotated-lately`, the tripwire's errors and `Rotation`'s.
    """
    rotation = rotation_of(ports)
    chosen = _chosen(rotation, names)
    until = None if at_once or SecretName.JWT not in chosen else rotation.overlap_until()
    if until is not None and names:
        raise StratumError("rotated-lately", until=f"{until:%Y-%m-%d %H:%M} UTC")
    if until is not None:
        chosen = tuple(name for name in chosen if name is not SecretName.JWT)
    _refuse_what_does_not_run(ports)
    now = ports.clock.now()
    plan = Plan(
        id=new_plan_id(now),
        verb=VERB,
        stack=ports.stack.name,
        created_at=now,
        headline=f"change secrets of {ports.stack.name}: {', '.join(chosen)}",
        steps=(_LAY_OUT, _SERVER, _ENV, _HAND_OVER, _PROVE, _SETTLE),
        params={"names": [name.value for name in chosen], "keep_key": not at_once, "serves": _serves(ports)},
        notes=_notes(chosen, until=f"{until:%Y-%m-%d}" if until else None, at_once=at_once),
        forward_from="env",
    )
    return ports.run(Prepared(plan=plan, actions=rotate_actions(plan, ports)), ports)


def _chosen(rotation: Rotation, names: Sequence[SecretName]) -> tuple[SecretName, ...]:
    known = rotation.known()
    unknown = [name for name in names if name not in known]
    if unknown:
        problem = f"this stack keeps no such secret in .env; it has {', '.join(known)}"
        raise StratumError("invalid-argument", argument=unknown[0], problem=problem)
    return tuple(name for name in known if not names or name in names)


NOTES = (
    "a program of yours that was told a password otherwise than by .env has to be told the new one",
    "whoever is signed in to the console has to sign in again",
)


def _notes(chosen: Sequence[SecretName], *, until: str | None, at_once: bool) -> tuple[str, ...]:
    notes = [NOTES[0]]
    if until is not None:
        notes.append(f"the signing key stays: the one before it counts until {until}; `stratum rotate jwt --at-once`")
    if SecretName.JWT in chosen and at_once:
        notes.append(NOTES[1])
    return tuple(notes)


def _refuse_what_does_not_run(ports: Ports) -> None:
    """A proof needs the server; on Docker it is asked from inside `backup`."""
    state = ports.runtime.observe()
    if state.state is not RunState.RUNNING:
        raise StratumError("not-running", detail=state.detail)
    if ports.project is None:
        refuse_look_alike(ports)
        return
    if not ports.project.external:
        observe_volume(ports, ports.project)
    found = [state for state in ports.project.containers() if state.service == BACKUP]
    if not found or found[0].state != "running":
        raise StratumError("backup-service-away", problem=found[0].state if found else "it was never started")
    ports.project.inside(("identity", "check"))


def _serves(ports: Ports) -> bool:
    return any(state.phase is not ServicePhase.STOPPED for state in ports.services.observe(ask=False))


def rotate_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the plan's steps do. Each works from the files that lie beside, so another process can go on, or back.

    After a crash the way is the one that .env went: whoever finds it was started with what it says.
    """
    rotation, begun = rotation_of(ports), _Begun()

    def lay_out(_: Facts) -> None:
        names = [SecretName(name) for name in names_in(plan.params["names"])]
        rotation.lay_out(names, now=plan.created_at, keep_key=bool(plan.params["keep_key"]))

    def back_to_service(_: Facts) -> None:
        # Last of all ways back: by now server and .env say the old values again.
        rotation.hand_back()
        rotation.forget()

    def swap(_: Facts) -> None:
        begun.here = True
        rotation.swap()

    def hand_over(facts: Facts) -> None:
        # A way back may have been cut after it had put the old .env back.
        swap(facts)
        if plan.params["serves"] and _is_running(ports):
            rotation.hand_over()

    def prove(facts: Facts) -> Facts:
        if _is_running(ports):
            rotation.prove(names_in(facts["roles"]))
        return {"proven": list(names_in(facts["roles"]))}

    def settle(_: Facts) -> None:
        begun.settling = True
        if SecretName.JWT.value in names_in(plan.params["names"]) and not plan.params["keep_key"]:
            ports.archive.raise_token_epoch(because=plan.id)
        rotation.forget()

    def is_in_force(_: Facts) -> bool:
        # What fails here leads back, until the old values are being deleted.
        return begun.settling or (not begun.here and rotation.is_swapped())

    return (
        Action(name="lay-out", run=lay_out, undo=back_to_service),
        Action(name="server", run=lambda _: {"roles": list(rotation.set_in_server())},
               undo=lambda _: rotation.take_back_in_server()),
        Action(name="env", run=swap, undo=lambda _: rotation.swap_back(), took_effect=is_in_force),
        Action(name="services", run=hand_over),
        Action(name="prove", run=prove),
        Action(name="settle", run=settle),
    )  # fmt: skip


@dataclass(kw_only=True, slots=True)
class _Begun:
    """How far this very process has come."""

    here: bool = False
    settling: bool = False


def _is_running(ports: Ports) -> bool:
    """A cluster that was lost after a crash gets the passwords of .env when it is made anew."""
    return ports.runtime.observe().state is RunState.RUNNING


def rotation_of(ports: Ports) -> Rotation:
    """Raises `not-from-here` where the stack's files are not seen."""
    if ports.rotation is None:
        raise StratumError("not-from-here", what="change secrets: the machine that holds .env does")
    return ports.rotation
