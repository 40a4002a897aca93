// Who may import whom. Read downwards: a folder may import only folders above it that it names.
// `make check` enforces this table; there is no second copy of it.
export const layers = {
  base: [],
  linux: ['base'],
  oci: ['base'],
  seccomp: ['base', 'linux', 'oci'],
  plan: ['base', 'linux', 'oci', 'seccomp'],
  explain: ['base', 'linux', 'oci', 'seccomp', 'plan'],
  executor: ['base', 'linux', 'plan'],
  observe: ['base', 'linux', 'oci'],
  image: ['base', 'linux', 'oci', 'plan', 'executor', 'observe'],
  network: ['base', 'linux', 'plan', 'executor', 'observe'],
  container: ['base', 'linux', 'oci', 'plan', 'executor', 'observe'],
  engine: ['base', 'linux', 'oci', 'seccomp', 'plan', 'executor', 'observe', 'image', 'network', 'container'],
  tools: ['base', 'linux', 'oci', 'plan', 'explain', 'executor', 'observe', 'container'],
  sandbox: ['base', 'linux', 'oci', 'seccomp', 'plan', 'explain', 'executor', 'observe', 'container', 'engine'],
  runtime: ['base', 'linux', 'oci', 'explain', 'executor', 'observe', 'container'],
  lab: ['base', 'linux', 'oci', 'plan', 'executor', 'observe', 'container', 'engine'],
  cli: [
    'base',
    'linux',
    'oci',
    'explain',
    'executor',
    'observe',
    'image',
    'network',
    'container',
    'engine',
    'tools',
    'lab',
  ],
  transfer: ['base', 'oci', 'executor', 'observe', 'image'],
  api: ['base', 'oci', 'explain', 'engine'],
  cri: ['base', 'oci', 'engine'],
  web: ['base', 'linux', 'oci', 'seccomp', 'plan', 'explain'],
}

// Folders without input and output: they run in a browser, and every test of them on any machine.
export const pure = ['base', 'linux', 'oci', 'seccomp', 'plan', 'explain', 'web']
