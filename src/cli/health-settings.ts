import type { ConfigFileHealth } from '../config-file.ts';
import type { EnvironmentSettings } from '../platform/environment.ts';
import type { Setting, SettingPicker } from './setting.ts';

/** What the command line says about health checks. */
export interface HealthFlags {
  readonly healthHost?: string | undefined;
  readonly healthPort?: number | undefined;
  readonly healthTlsKey?: string | undefined;
  readonly healthTlsCert?: string | undefined;
  readonly metricsTokenFile?: string | undefined;
}

/** The settings of health checks, each from the source that has the last word. */
export function pickHealth(
  sources: SettingPicker & {
    readonly flags: HealthFlags;
    readonly environment: EnvironmentSettings;
    readonly file: ConfigFileHealth;
  },
): readonly Setting[] {
  const { flags, environment, file, pick, inFileFolder, inWorkingFolder } = sources;
  return [
    pick('health.port', {
      flag: ['--health-port', flags.healthPort],
      env: ['CABINET_HEALTH_PORT', environment.healthPort],
      file: file.port,
    }),
    pick('health.host', {
      flag: ['--health-host', flags.healthHost],
      env: ['CABINET_HEALTH_HOST', environment.healthHost],
      file: file.host,
    }),
    pick('health.tlsKeyFile', {
      flag: ['--health-tls-key', inWorkingFolder(flags.healthTlsKey)],
      env: ['CABINET_HEALTH_TLS_KEY', inWorkingFolder(environment.healthTlsKeyFile)],
      file: inFileFolder(file.tlsKeyFile),
    }),
    pick('health.tlsCertFile', {
      flag: ['--health-tls-cert', inWorkingFolder(flags.healthTlsCert)],
      env: ['CABINET_HEALTH_TLS_CERT', inWorkingFolder(environment.healthTlsCertFile)],
      file: inFileFolder(file.tlsCertFile),
    }),
    pick('health.metricsTokenFile', {
      flag: ['--metrics-token-file', inWorkingFolder(flags.metricsTokenFile)],
      env: ['CABINET_METRICS_TOKEN_FILE', inWorkingFolder(environment.metricsTokenFile)],
      file: inFileFolder(file.metricsTokenFile),
    }),
  ];
}
