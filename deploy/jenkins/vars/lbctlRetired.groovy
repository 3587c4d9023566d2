/**
 * Wait until the old pool of the last release is proved unused; returns its colour. Only then its servers may be stopped.
 * The certificate is in the log: who looked, what was counted, since when.
 */
String call(Map given) {
    return lbctlRun('retired', given + [returnStdout: true])
}
