#!/bin/sh
# Release one service from a pipeline: claim a pool, deploy to it, say that it is ready, wait for what becomes of it.
#
#   release.sh claim              prints the colour that may be deployed to, once it is safe
#   release.sh give-back          ends the claim of this build: its deployment failed
#   release.sh ready              puts the version on the board
#   release.sh wait               ends with the fate of the build
#   release.sh retired            prints the colour of the old pool, once it is proved that nobody uses it
#   release.sh stopped            says that it is stopped; only where lbctl does not check its servers
#   release.sh withdraw           takes the version off the board again
#   release.sh all COMMAND...     all of it; COMMAND gets the colour and the version as its last two words
#
#   LBCTL_SERVICE        the service                      LBCTL_UNIT       its unit (default: the service itself)
#   LBCTL_VERSION        what was deployed                LBCTL_BUILD      the address of the build, without blanks
#   LBCTL_PROVIDES       accounts-api=1 accounts-api=2    LBCTL_REQUIRES   ledger>=3,<5 (several: with blanks)
#   LBCTL_CLAIM_TIMEOUT  1h                               LBCTL_TIMEOUT    4h: of the wait
#   LBCTL_RETIRE_TIMEOUT 3h: of the proof
#   LBCTL_FOR            started, baked (default) or finished
#   LBCTL_SSH            what stands after `ssh`: options and the load-balancer host; empty: lbctl runs here. An option
#                        can run a command: let nobody set it who may not run commands on this runner
#
# Exit codes are those of lbctl, each with its sentence on stderr; 1 also: COMMAND failed, 255: ssh did not get there.
set -euf

tell() { printf '%s\n' "release.sh: $*" >&2; }

need() {
    for name; do
        eval "value=\${$name:-}"
        # shellcheck disable=SC2154  # eval gives it
        if [ -z "$value" ]; then
            tell "set $name"
            exit 2
        fi
    done
}

# Each word in single quotes, as `lbctl gate` and every shell read it.
quoted() {
    for word; do
        printf " '%s'" "$(printf '%s' "$word" | sed "s/'/'\\\\''/g")"
    done
}

lbctl_there() {
    if [ -n "${LBCTL_SSH:-}" ]; then
        # shellcheck disable=SC2086  # several words on purpose
        ssh -T -o BatchMode=yes -o ServerAliveInterval=15 $LBCTL_SSH "lbctl$(quoted "$@")" </dev/null
    else
        lbctl "$@" </dev/null
    fi
}

# What an exit code means for this build: one sentence, and nothing for 0.
meaning() {
    case "$1" in
        0) ;;
        2) echo "wrong usage: the command of this pipeline must be repaired" ;;
        3) echo "no lbctl daemon answers; traffic stays as it is" ;;
        5) echo "refused: it may not be done now, the text above says why" ;;
        6) echo "not authorised: this job may not do that" ;;
        7) echo "no such service, unit or build: LBCTL_SERVICE, LBCTL_UNIT, LBCTL_BUILD" ;;
        20) echo "went back by itself: a new version is worse; lbctl explain ${LBCTL_UNIT:-$LBCTL_SERVICE} says which and why" ;;
        21) echo "a person went back, cancelled it or withdrew it, or it was not proved or approved in time: it is over, do not repeat it unasked" ;;
        22) echo "out of time; what was begun goes on: wait again, deploy nothing again" ;;
        23) echo "still waiting for approval by a person: lbctl release approve, then wait again" ;;
        25) echo "superseded: a newer build of $LBCTL_SERVICE took its place; nothing is wrong" ;;
        26) echo "still waiting on the board, the text above says for what: its partner, or a freeze window; wait again" ;;
        255) echo "ssh did not get there" ;;
        *) echo "lbctl ended with $1" ;;
    esac
}

# Run one command of lbctl; end with its exit code, and its sentence, where it is not 0.
try() {
    code=0
    lbctl_there "$@" || code=$?
    [ "$code" = 0 ] && return
    tell "$(meaning "$code")"
    exit "$code"
}

claim() {
    need LBCTL_SERVICE LBCTL_BUILD
    # The unit is named already here: a wrong one would be found by `ready` only, after the deployment.
    set -- claim "$LBCTL_SERVICE" --build "$LBCTL_BUILD" --unit "${LBCTL_UNIT:-$LBCTL_SERVICE}"
    try "$@" --wait --timeout "${LBCTL_CLAIM_TIMEOUT:-1h}" --reason "$LBCTL_BUILD"
}

give_back() {
    need LBCTL_SERVICE LBCTL_BUILD
    try claim "$LBCTL_SERVICE" --give-back --build "$LBCTL_BUILD" --reason "${1:-the deployment failed}"
}

ready() {
    need LBCTL_SERVICE LBCTL_VERSION LBCTL_BUILD
    set -- release ready "${LBCTL_UNIT:-$LBCTL_SERVICE}" --service "$LBCTL_SERVICE"
    set -- "$@" --version "$LBCTL_VERSION" --build "$LBCTL_BUILD"
    for promise in ${LBCTL_PROVIDES:-}; do set -- "$@" --provides "$promise"; done
    for demand in ${LBCTL_REQUIRES:-}; do set -- "$@" --requires "$demand"; done
    try "$@"
}

wait_for_build() {
    need LBCTL_SERVICE LBCTL_BUILD
    try release wait --build "$LBCTL_BUILD" --for "${LBCTL_FOR:-baked}" --timeout "${LBCTL_TIMEOUT:-4h}"
}

# The certificate goes to the log; the first word of it is the colour.
retired() {
    need LBCTL_SERVICE
    proof=$(try retired "$LBCTL_SERVICE" --service "$LBCTL_SERVICE" --wait --timeout "${LBCTL_RETIRE_TIMEOUT:-3h}")
    printf '%s\n' "$proof" >&2
    printf '%s\n' "${proof%% *}"
}

stopped() {
    need LBCTL_SERVICE
    try release stopped "$LBCTL_SERVICE" --service "$LBCTL_SERVICE" --reason "${LBCTL_BUILD:-}"
}

withdraw() {
    need LBCTL_SERVICE
    try release withdraw "${LBCTL_UNIT:-$LBCTL_SERVICE}" --service "$LBCTL_SERVICE" --reason "${LBCTL_BUILD:-}"
}

all() {
    need LBCTL_SERVICE LBCTL_VERSION LBCTL_BUILD
    colour=$(claim)
    case "$colour" in
        blue | green) tell "$LBCTL_SERVICE $LBCTL_VERSION goes to $colour" ;;
        *) tell "lbctl claim said no colour"; exit 1 ;;
    esac
    if ! "$@" "$colour" "$LBCTL_VERSION" >&2; then
        tell "the deployment failed: $LBCTL_VERSION is not said to be ready, and no traffic moves"
        # What failed must have ended, for the next build may deploy there. In a subshell: the exit code stays 1.
        (give_back >&2) || tell "the claim stays: it ends by itself, or with another try of this build"
        exit 1
    fi
    ready >&2
    wait_for_build
}

# lbctl would take such a name for an option.
for name in "${LBCTL_SERVICE:-}" "${LBCTL_UNIT:-}"; do
    case "$name" in
        -*) tell "no service or unit begins with a dash: $name"; exit 2 ;;
    esac
done
word=${1:-}
[ $# = 0 ] || shift
case "$word" in
    claim) claim ;;
    give-back) give_back ;;
    ready) ready ;;
    wait) wait_for_build ;;
    retired) retired ;;
    stopped) stopped ;;
    withdraw) withdraw ;;
    all)
        if [ $# = 0 ]; then
            tell "name the command that deploys: release.sh all ./deploy-to"
            exit 2
        fi
        all "$@"
        ;;
    *)
        tell "usage: release.sh claim | give-back | ready | wait | retired | stopped | withdraw | all COMMAND..."
        exit 2
        ;;
esac
