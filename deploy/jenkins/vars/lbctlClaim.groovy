/**
 * Hold the pool that may be deployed to; returns its colour. It waits for a release that uses the pool.
 * A newer build claims again, and an older one that still waits ends with `superseded`.
 */
String call(Map given) {
    return lbctlRun('claim', given + [returnStdout: true])
}
