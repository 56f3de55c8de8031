# SPDX-License-Identifier: GPL-2.0-or-later
# Completion of cxlfm for bash: source it, or install it as cxlfm in bash's
# folder of completions.

_cxlfm()
{
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
    local i

    COMPREPLY=()
    if [[ $before == --socket ]]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
    fi
    if [[ $before == --mailbox ]]; then
        mapfile -t COMPREPLY < <(cd /sys/bus/pci/devices 2> /dev/null &&
                                 compgen -W "auto $(echo *)" -- "$word")
        return
    fi
    # What follows an option with a value is not the command.
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --socket|--mailbox|--id|--from|--timeout) ((i++)) ;;
        -*) ;;
        unbind)
            ((COMP_CWORD == i + 4)) &&
                mapfile -t COMPREPLY < <(compgen -W "wait managed surprise" \
                                         -- "$word")
            return ;;
        release)
            ((COMP_CWORD == i + 4)) &&
                mapfile -t COMPREPLY < <(compgen -W "force" -- "$word")
            return ;;
        *) return ;;
        esac
    done
    [[ $before == --@(id|from|timeout) ]] && return
    mapfile -t COMPREPLY < <(compgen -W "--socket --mailbox --id --from --timeout
        --json --help list identify ports vcs bind unbind bind-pid unbind-pid
        targets lds qos status set-qos allocate limit pbr drt rgt regions extents
        tags add share release raw" \
        -- "$word")
}
complete -F _cxlfm cxlfm
