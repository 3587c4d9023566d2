/**
 * What the other steps stand on: run one word of release.sh with what a build gives. Nothing of a build is ever part
 * of the text of a shell command; it goes through the environment.
 *
 * given: service, build (the address of the build); optional unit, version, provides, requires (lists), claimTimeout,
 * timeout, goal (started, baked, finished), retireTimeout, ssh (what stands after `ssh`).
 * Returns the exit code, or with `returnStdout: true` what was printed.
 */
def call(String word, Map given) {
    String directory = "${pwd(tmp: true)}/lbctl"
    writeFile file: "${directory}/release.sh", text: libraryResource('lbctl/release.sh')
    List<String> names = [
        "LBCTL_RELEASE=${directory}/release.sh",
        "LBCTL_WORD=${word}",
        "LBCTL_SERVICE=${given.service}",
        "LBCTL_UNIT=${given.unit ?: ''}",
        "LBCTL_VERSION=${given.version ?: ''}",
        "LBCTL_BUILD=${given.build ?: env.BUILD_URL}",
        "LBCTL_PROVIDES=${(given.provides ?: []).join(' ')}",
        "LBCTL_REQUIRES=${(given.requires ?: []).join(' ')}",
        "LBCTL_CLAIM_TIMEOUT=${given.claimTimeout ?: ''}",
        "LBCTL_TIMEOUT=${given.timeout ?: ''}",
        "LBCTL_RETIRE_TIMEOUT=${given.retireTimeout ?: ''}",
        "LBCTL_FOR=${given.goal ?: ''}",
        "LBCTL_SSH=${given.ssh ?: env.LBCTL_SSH ?: ''}",
    ]
    withEnv(names) {
        if (given.returnStdout) {
            return sh(script: 'sh "$LBCTL_RELEASE" "$LBCTL_WORD"', returnStdout: true).trim()
        }
        return sh(script: 'sh "$LBCTL_RELEASE" "$LBCTL_WORD"', returnStatus: true)
    }
}
