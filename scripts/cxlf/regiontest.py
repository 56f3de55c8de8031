# SPDX-License-Identifier: GPL-2.0-or-later
"""Regions are destroyed and created again with the ordinary tools.

Linux wants decoders released in the reverse order of their making, so BULK,
which lies behind HOT, goes first.  The memory belongs to the fabric and not
to a host's region: what is in it stays, and the other hosts go on using it.
"""

from . import programs, ui

OFFSET = 96 << 20                       # where no other program works
DEVICES = ("/dev/cxlf/hot", "/dev/cxlf/bulk")

DESTROY = r"""
set -e
for class in bulk hot; do
    read -r name region dax <<END
$(grep "^$class " /run/cxlf.regions)
END
    echo "$dax" >/sys/bus/dax/drivers/device_dax/unbind
    cxl disable-region "$region"
    cxl destroy-region "$region"
    rm "/dev/cxlf/$class"
done
[ -z "$(ls -d /sys/bus/cxl/devices/region* 2>/dev/null)" ]
! ls /dev/dax* 2>/dev/null
"""

# $1 and $2: the bytes of HOT and of BULK.
CREATE = r"""
set -e
>/run/cxlf.regions
for class in hot bulk; do
    size=$1
    [ $class = hot ] || size=$2
    out=$(cxl create-region -m -t ram -d decoder0.0 -w 1 -s "$size" mem0)
    region=$(echo "$out" | sed -n 's/.*"region":"\([^"]*\)".*/\1/p')
    tries=0
    until dax=$(ls "/sys/bus/cxl/devices/$region/" | grep dax_region) &&
        dax=$(ls "/sys/bus/cxl/devices/$region/$dax" | grep '^dax[0-9]') &&
        [ -c "/dev/$dax" ] && [ -e "/sys/bus/dax/devices/$dax/driver" ]; do
        tries=$((tries + 1))
        [ $tries -le 400 ] || { echo "no dax device of $region" >&2; exit 1; }
        usleep 50000
    done
    ln -s "../$dax" "/dev/cxlf/$class"
    echo "$class $region $dax" >>/run/cxlf.regions
done
check-regions --hot "$1" --bulk "$2"
"""


def output(bench, host, argv):
    """Run a command in a guest; its output, or UserError."""
    outcome = bench.one.run_all({host: argv}, 60)[host]
    if outcome[0]:
        raise ui.UserError(
            f"host {host}: status {outcome[0]}: "
            + (outcome[1] + outcome[2]).decode(errors="replace").strip())
    return outcome[1].decode(errors="replace")


def script(bench, host, text, *argv):
    """Run a shell script in a guest; its output, or UserError."""
    return output(bench, host, ["sh", "-c", text, "sh", *map(str, argv)])


def pattern(bench, host, *options, devices=DEVICES):
    """Run the program pattern on both memories; what is wrong."""
    wrong = []
    for device in devices:
        outcome = bench.one.run_all({host: [
            "pattern", "--dev", device, "--offset", str(OFFSET),
            *map(str, options)]}, 60)[host]
        status, result = programs.parse(outcome)
        if status:
            wrong.append(f"host {host}: {device}: {result}")
    return wrong


def run(bench):
    """Destroy and create host 0's regions; host 1 works meanwhile."""
    config = bench.config
    name = "regions are destroyed and created again"
    with bench.test(name) as wrong, ui.Step(f"host 0's {name}"):
        wrong += pattern(bench, 0, "--write", "--seed", 11)
        script(bench, 0, DESTROY)
        wrong += pattern(bench, 1, "--seed", 11)
        wrong += pattern(bench, 1, "--write", "--seed", 12)
        script(bench, 0, CREATE, config.hot, config.bulk)
        wrong += pattern(bench, 0, "--seed", 12)
    bench.program("counter after regions were made again", "counter",
                  "--count", 2000, "--threads", bench.smp,
                  known=2 * 2000 * bench.smp)
    bench.program("messages after regions were made again", "message",
                  "--count", 10, known=10 * 6)
