import type { ConfigFileAdmin } from '../config-file.ts';
import type { EnvironmentSettings } from '../platform/environment.ts';
import type { Setting, SettingPicker } from './setting.ts';

/** What the command line says about the admin server. */
export interface AdminFlags {
  /** Whether it is served; undefined: nothing was said. */
  readonly admin?: boolean | undefined;
  readonly adminHost?: string | undefined;
  readonly adminPort?: number | undefined;
  readonly adminAllowedHost?: readonly string[] | undefined;
  readonly adminTlsKey?: string | undefined;
  readonly adminTlsCert?: string | undefined;
  readonly adminUrl?: string | undefined;
  readonly adminTokenFile?: string | undefined;
  readonly adminCa?: string | undefined;
}

/** The settings of the admin server, and of who asks it. */
export interface AdminSettings extends ConfigFileAdmin {
  /** Of the environment alone: a secret stands in no file of settings, and in no command line. */
  readonly token?: string | undefined;
}

/** The settings of the admin server, each from the source that has the last word. */
export function pickAdmin(
  sources: SettingPicker & {
    readonly flags: AdminFlags;
    readonly environment: EnvironmentSettings;
    readonly file: ConfigFileAdmin;
  },
): readonly Setting[] {
  const { flags, environment, file, pick, inFileFolder, inWorkingFolder } = sources;
  const { admin, adminAllowedHosts } = environment;
  return [
    pick('admin.enabled', {
      flag: [flags.admin === false ? '--no-admin' : '--admin', flags.admin],
      env: ['CABINET_ADMIN', admin === undefined ? undefined : admin === 'on'],
      file: file.enabled,
    }),
    pick('admin.host', {
      flag: ['--admin-host', flags.adminHost],
      env: ['CABINET_ADMIN_HOST', environment.adminHost],
      file: file.host,
    }),
    pick('admin.port', {
      flag: ['--admin-port', flags.adminPort],
      env: ['CABINET_ADMIN_PORT', environment.adminPort],
      file: file.port,
    }),
    pick('admin.allowedHosts', {
      flag: ['--admin-allowed-host', flags.adminAllowedHost],
      env: ['CABINET_ADMIN_ALLOWED_HOSTS', adminAllowedHosts?.split(',').map((host) => host.trim())],
      file: file.allowedHosts,
    }),
    pick('admin.tlsKeyFile', {
      flag: ['--admin-tls-key', inWorkingFolder(flags.adminTlsKey)],
      env: ['CABINET_ADMIN_TLS_KEY', inWorkingFolder(environment.adminTlsKeyFile)],
      file: inFileFolder(file.tlsKeyFile),
    }),
    pick('admin.tlsCertFile', {
      flag: ['--admin-tls-cert', inWorkingFolder(flags.adminTlsCert)],
      env: ['CABINET_ADMIN_TLS_CERT', inWorkingFolder(environment.adminTlsCertFile)],
      file: inFileFolder(file.tlsCertFile),
    }),
    pick('admin.nkeyFile', {
      env: ['CABINET_ADMIN_NKEY', inWorkingFolder(environment.adminNkeyFile)],
      file: inFileFolder(file.nkeyFile),
    }),
    pick('admin.inboxPrefix', {
      env: ['CABINET_ADMIN_INBOX_PREFIX', environment.adminInboxPrefix],
      file: file.inboxPrefix,
    }),
    pick('admin.url', {
      flag: ['--admin-url', flags.adminUrl],
      env: ['CABINET_ADMIN_URL', environment.adminUrl],
      file: file.url,
    }),
    // A file that the command line names goes before a token that the environment happens to hold.
    pick('admin.token', {
      env: ['CABINET_ADMIN_TOKEN', flags.adminTokenFile === undefined ? environment.adminToken : undefined],
    }),
    pick('admin.tokenFile', {
      flag: ['--admin-token-file', inWorkingFolder(flags.adminTokenFile)],
      env: ['CABINET_ADMIN_TOKEN_FILE', inWorkingFolder(environment.adminTokenFile)],
      file: inFileFolder(file.tokenFile),
    }),
    pick('admin.caFile', {
      flag: ['--admin-ca', inWorkingFolder(flags.adminCa)],
      env: ['CABINET_ADMIN_CA', inWorkingFolder(environment.adminCaFile)],
      file: inFileFolder(file.caFile),
    }),
  ];
}
