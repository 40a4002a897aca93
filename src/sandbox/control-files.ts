/**
 * Files by which programs of this machine run what is written in them, without being asked for what the box made: shells and sessions at their
 * start, git at any command, editors that open a directory, and services. Whoever applies changes reads source files; nobody reads these.
 */

import type { Change } from './changes-node.ts'

/** In any directory, with all that is below. */
const ANYWHERE = `
.git/hooks .git/config .git/config.worktree .gitconfig .config/git
.bashrc .bash_profile .bash_login .bash_logout .bash_aliases .profile .zshrc .zshenv .zprofile .zlogin .zlogout .kshrc .cshrc .tcshrc .login
.config/fish .xprofile .xsession .xinitrc .pam_environment .config/autostart .config/systemd .config/environment.d .local/share/systemd
.local/bin .local/share/applications .ssh .vscode .idea .vimrc .exrc .nvimrc .config/nvim .emacs .emacs.d .dir-locals.el .gdbinit .mcp.json
.claude .cursor
`
const OF_MACHINE = `
/etc/profile /etc/profile.d /etc/bash.bashrc /etc/zsh /etc/environment /etc/ld.so.preload /etc/ld.so.conf /etc/ld.so.conf.d /etc/crontab
/etc/cron.d /etc/cron.hourly /etc/cron.daily /etc/cron.weekly /etc/cron.monthly /var/spool/cron /etc/init.d /etc/rc.local /etc/systemd
/lib/systemd /usr/lib/systemd /etc/udev /etc/pam.d /etc/sudoers /etc/sudoers.d /etc/passwd /etc/shadow /etc/group /etc/ssh /etc/gitconfig
/etc/xdg/autostart /etc/modprobe.d /etc/sysctl.d /etc/sysctl.conf /etc/apt/apt.conf.d
`

const wordsOf = (text: string): readonly string[] => text.trim().split(/\s+/)
const anywhere = wordsOf(ANYWHERE)
const ofMachine = wordsOf(OF_MACHINE)

/** `path` is absolute. */
export function isControlFile({ path, kind }: Pick<Change, 'path' | 'kind'>): boolean {
  const whole = `${path}/`
  if (anywhere.some((name) => whole.includes(`/${name}/`)) || ofMachine.some((name) => whole.startsWith(`${name}/`)))
    return true
  // A file or a link in its place says where the directory is.
  if (path.endsWith('/.git')) return kind !== 'directory'
  return /\/\.git\/(?:modules|worktrees)\/.*\/(?:hooks|config|config\.worktree)\//.test(whole)
}
