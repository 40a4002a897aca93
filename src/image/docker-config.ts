/** Where docker and podman keep what a user has decided: accounts of registries, and proxies of containers. */
export const dockerConfigPath = (directory: string | undefined, home: string | undefined): string =>
  `${directory ?? `${home ?? ''}/.docker`}/config.json`
