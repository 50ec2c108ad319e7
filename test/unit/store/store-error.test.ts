import { describe, expect, it } from 'vitest';

import { InvariantViolation } from '../../../src/core/errors.ts';
import { codeOfFault, errorOfFault, errorOfPublish } from '../../../src/store/store-error.ts';

describe('JetStream errors', () => {
  it.each([
    [10_002, 'account resource limits exceeded', 'STORAGE_FULL'],
    [10_023, 'insufficient resources', 'STORAGE_FULL'],
    [10_028, 'insufficient memory resources available', 'STORAGE_FULL'],
    [10_047, 'insufficient storage resources available', 'STORAGE_FULL'],
    [10_077, 'maximum bytes exceeded', 'STORAGE_FULL'],
    [10_077, 'write /data/1.blk: no space left on device', 'STORAGE_FULL'],
    [10_077, 'input/output error', 'UNAVAILABLE'],
    [10_054, 'message size exceeds maximum allowed', 'PAYLOAD_TOO_LARGE'],
    [10_097, 'header size exceeds maximum allowed of 64k', 'PAYLOAD_TOO_LARGE'],
    [10_166, 'per-message TTL is disabled', 'STREAM_MISCONFIGURED'],
    [10_165, 'invalid per-message TTL', 'INTERNAL'],
    [400, 'invalid header', 'INTERNAL'],
    [403, 'publishing to a is forbidden', 'BUS_FORBIDDEN'],
    [502, 'the acknowledgement is unreadable', 'UNAVAILABLE'],
    [10_008, 'JetStream system temporarily unavailable', 'UNAVAILABLE'],
    [10_118, 'stream is offline', 'UNAVAILABLE'],
    [10_059, 'stream not found', 'UNAVAILABLE'],
    [99_999, 'something new', 'UNAVAILABLE'],
  ] as const)('%i %s is %s', (code, description, expected) => {
    expect(codeOfFault({ code, description })).toBe(expected);
  });

  it('the message names what was being done, the server’s words and its code; the cause is kept', () => {
    const error = errorOfFault('write key 3.checkpoint', { code: 10_047, description: 'insufficient storage' });
    expect(error.message).toBe('write key 3.checkpoint: insufficient storage (JetStream 10047)');
    expect(error.cause).toBeInstanceOf(Error);
    expect(error.hint).toContain('disk');
  });

  it('INTERNAL is a broken promise of ours, which nobody retries', () => {
    expect(errorOfFault('write', { code: 10_165, description: 'invalid TTL' })).toBeInstanceOf(InvariantViolation);
  });

  it.each(['timeout', 'disconnected', 'no-responders'] as const)(
    'a publish that ended in %s is UNAVAILABLE',
    (kind) => {
      const error = errorOfPublish('write key a', { kind });
      expect(error.code).toBe('UNAVAILABLE');
      expect(error.retryable).toBe(true);
    },
  );
});
