/** Say that the version is deployed to the claimed pool. It goes as soon as it fits its unit. */
void call(Map given) {
    int code = lbctlRun('ready', given)
    if (code != 0) {
        error("lbctl does not take ${given.service} ${given.version} (exit ${code}); the lines above say why")
    }
}
