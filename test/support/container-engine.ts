import { getContainerRuntimeClient } from 'testcontainers';

/** Whether a container engine answers to this process. */
export type ContainerEngineProbe =
  | { readonly kind: 'answers'; readonly name: string }
  | { readonly kind: 'none'; readonly reason: string; readonly isRequired: boolean };

/** Asks the engine of `DOCKER_HOST` or of the usual socket. `CABINET_TEST_DOCKER=required` says that there must be one. */
export async function probeContainerEngine(): Promise<ContainerEngineProbe> {
  try {
    const { info } = await getContainerRuntimeClient();
    const { serverVersion, operatingSystem } = info.containerRuntime;
    return { kind: 'answers', name: `${serverVersion} on ${operatingSystem}` };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { kind: 'none', reason, isRequired: process.env['CABINET_TEST_DOCKER'] === 'required' };
  }
}
