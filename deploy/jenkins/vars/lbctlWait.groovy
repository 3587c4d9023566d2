/**
 * Follow the build, first on the board, then in its release; the build's result is what became of it. A build that a
 * newer one overtook is no failure, and one that waits for its partner only is unstable: it stays on the board.
 * Returns the exit code.
 */
int call(Map given) {
    int code = lbctlRun('wait', given)
    switch (code) {
        case 0:
            break
        case 25:
            currentBuild.result = 'NOT_BUILT'
            currentBuild.description = 'superseded by a newer build'
            break
        case 26:
            unstable("${given.service} ${given.version} still waits on the board, for its partner or the end of a freeze window")
            break
        case 23:
            unstable("the release of ${given.service} ${given.version} waits for approval by a person")
            break
        case 22:
            unstable("the release of ${given.service} ${given.version} still runs")
            break
        case 20:
            error("${given.service} ${given.version} went back by itself: a new version is worse")
        case 21:
            error("a person took ${given.service} ${given.version} back")
        default:
            error("lbctl ended with ${code}; the lines above say why")
    }
    return code
}
