/** End the claim of this build, so that the next one need not wait for its end. Only where its deployment has ended. */
void call(Map given) {
    int code = lbctlRun('give-back', given)
    if (code != 0) {
        echo("the claim of ${given.service} stays (exit ${code}): it ends by itself, or with another try of this build")
    }
}
