# SPDX-License-Identifier: GPL-2.0-or-later
"""What guests ask of the fabric's manager: docs/manager.md."""

import json

from . import cluster, machine, qmp, ui

CLASSES = {1: "HOT", 2: "BULK", 3: "coherent mode", 4: "software mode"}
BINDINGS = {1: "bind", 2: "unbind"}
WHOLE = 0xffff      # an LD that stands for all of the device
ANSWERS = {"grant": "granted", "deny": "denied", "fail": "failed"}


def add_options(parser):
    """The options of cxl-cluster requests."""
    which = parser.add_mutually_exclusive_group()
    for name, says in (("grant", "say that it was done; a change of the mode "
                                 "of BULK is done by this"),
                       ("deny", "say that it will not be done"),
                       ("fail", "say that it could not be done")):
        which.add_argument(f"--{name}", type=int, metavar="REQUEST",
                           help=says)
    parser.add_argument("--gfam", type=int, metavar="N", help="with --grant: "
                        "device of what was granted (default: as asked for)")
    parser.add_argument("--dpa", metavar="ADDRESS", help="with --grant: where "
                        "it begins, such as 0x10000000")
    parser.add_argument("--length", metavar="SIZE", help="with --grant: its "
                        "bytes, such as 64M")
    parser.add_argument("--json", action="store_true",
                        help="print the list as JSON")


def wanted(request):
    """What a request asks for, for people."""
    first, second = request["arguments"][:2]
    device = f"device {request['gfam']}" if "gfam" in request else \
        "any device"
    pages = f"{request['length']:#x} bytes"
    if request["kind"] == "capacity":
        return f"{pages} more of {CLASSES.get(first, first)}, of {device}"
    if request["kind"] == "class":
        return (f"{pages} at {request['dpa']:#x} of {device} to be "
                f"{'in ' if first > 2 else ''}{CLASSES.get(first, first)}")
    unit = device if second == WHOLE else f"LD {second} of {device}"
    return f"{BINDINGS.get(first, first)} {unit}"


def render(found):
    """The list of requests as a table."""
    if not found:
        return "no requests"
    return ui.table([["asked for", "request", "host", "state"]] +
                    [[wanted(one), one["request"], one["host"], one["state"]]
                     for one in found])


def _address(text):
    try:
        value = int(text, 0)
        if value >= 0:
            return value
    except ValueError:
        pass
    raise ui.UserError(f"--dpa {text}: not an address such as 0x10000000")


def _granted(args):
    """What --grant says beside the number."""
    given = {name: getattr(args, name) for name in ("gfam", "dpa", "length")
             if getattr(args, name) is not None}
    if given and args.grant is None:
        raise ui.UserError(f"--{next(iter(given))} goes with --grant only")
    if given.get("gfam", 0) < 0:
        raise ui.UserError(f"--gfam {args.gfam}: must not be negative")
    if "dpa" in given:
        given["dpa"] = _address(args.dpa)
    if "length" in given:
        given["length"] = machine.size(args.length, "--length")
    return given


def answer(call, number, result, **granted):
    """Answer a request by number; its host is in the owner's list.

    `call` gives the owner a QMP command.  Returns the request.
    """
    for one in call("x-query-cxl-fabric-requests"):
        if one["request"] == number:
            call("x-cxl-fabric-answer", host=one["host"], request=number,
                 result=result, **granted)
            return one
    raise ui.UserError(f"no request {number} is open; 'cxl-cluster requests' "
                       "lists them")


def main(args):
    """cxl-cluster requests."""
    granted = _granted(args)
    one = cluster.Cluster(args.name)
    cluster.fabric_state(one)
    one.fabric()        # says so if the owner does not run
    with qmp.Monitor(one.place("owner.qmp")) as owner:
        for option, result in ANSWERS.items():
            number = getattr(args, option)
            if number is not None:
                done = answer(owner.call, number, result, **granted)
                ui.note(f"request {number} of host {done['host']} is "
                        f"{result}: {wanted(done)}")
                return 0
        found = owner.call("x-query-cxl-fabric-requests")
    print(json.dumps(found) if args.json else render(found))
    return 0
