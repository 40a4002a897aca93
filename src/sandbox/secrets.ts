/**
 * What a copy-on-write view of this machine hides: files by which somebody could act as their owner.
 *
 * Hidden is what has a credential in it or leads to one, and the sockets of programs that act for whoever asks. A path that is granted is shown,
 * with all below it. There is no other list.
 */

import { invalid } from './options.ts'

/** Below a home directory. */
const IN_HOME = `
.ssh .gnupg .pki .password-store .local/share/keyrings .kde/share/apps/kwallet .local/share/kwalletd
.aws .azure .config/gcloud .config/doctl .config/hcloud .config/linode-cli .oci .bluemix .aliyun .config/scw .fly .vercel .netlify
.kube .docker .config/containers/auth.json .config/helm .terraform.d .terraformrc .config/pulumi .pulumi .vault-token .vagrant.d
.netrc .git-credentials .config/git/credentials .config/gh .config/hub .config/glab-cli .gitconfig.local .hgrc .subversion/auth
.npmrc .yarnrc .yarnrc.yml .pypirc .config/pip .gem/credentials .cargo/credentials .cargo/credentials.toml .m2/settings.xml
.gradle/gradle.properties .composer/auth.json .config/composer/auth.json .nuget .config/NuGet .config/configstore .local/share/uv/credentials
.claude .claude.json .codex .gemini .config/anthropic .config/openai .config/github-copilot .cursor .cache/huggingface/token .huggingface
.pgpass .my.cnf .mylogin.cnf .mongorc.js .dbshell .rediscli_auth .s3cfg .boto .rclone.conf .config/rclone .passwd-s3fs
.bash_history .zsh_history .zhistory .histfile .local/share/fish .ash_history .python_history .node_repl_history .psql_history
.mysql_history .sqlite_history .rediscli_history .lesshst .viminfo .wget-hsts .local/share/recently-used.xbel
.mozilla .config/google-chrome .config/chromium .config/BraveSoftware .config/microsoft-edge .config/vivaldi .config/opera .thunderbird
.config/Signal .config/Slack .config/discord .config/1Password .config/Bitwarden .config/keepassxc .Xauthority .ICEauthority
`

/** Of the machine: password hashes, keys of its services, and the sockets of programs that act for whoever asks. */
const OF_MACHINE = `
/etc/shadow /etc/shadow- /etc/gshadow /etc/gshadow- /etc/sudoers /etc/sudoers.d /etc/ssh /etc/ssl/private /etc/pki/tls/private
/etc/letsencrypt /etc/krb5.keytab /etc/docker/key.json /etc/kubernetes /etc/rancher /etc/wireguard /etc/openvpn /etc/ppp
/etc/NetworkManager/system-connections /etc/wpa_supplicant /etc/machine-id /var/lib/dbus/machine-id /var/lib/docker /var/lib/containerd
/var/lib/containers /var/lib/kubelet /var/lib/coffer /var/lib/cloud /var/lib/postgresql /var/lib/mysql /var/lib/redis /var/spool/cron
/var/mail /var/spool/mail /var/log /var/backups /run/docker.sock /run/containerd /run/podman /run/crio /run/user /run/dbus /run/secrets
/run/systemd/private /run/coffer /boot
`

const wordsOf = (text: string): readonly string[] => text.trim().split(/\s+/)

/**
 * Paths to hide from a container that sees the root of this machine; `homes` are directories without a slash at the end.
 *
 * Throws `invalid` for a grant of a part of what is hidden as a whole: to show all of it would be more than was asked for.
 */
export function secretPaths(homes: readonly string[], granted: readonly string[]): readonly string[] {
  const all = [...homes.flatMap((home) => wordsOf(IN_HOME).map((name) => `${home}/${name}`)), ...wordsOf(OF_MACHINE)]
  for (const path of granted) {
    const hidden = all.find((secret) => secret !== path && isOrHolds(secret, path))
    if (hidden !== undefined)
      throw invalid(`grant has ${path}, a part of ${hidden}`, `grant ${hidden}, or mount the part elsewhere`)
  }
  return all.filter((path) => !granted.some((one) => isOrHolds(one, path)))
}

/** Whether `path` is `directory` or below it. */
const isOrHolds = (directory: string, path: string): boolean =>
  path === directory || path.startsWith(directory.endsWith('/') ? directory : `${directory}/`)
