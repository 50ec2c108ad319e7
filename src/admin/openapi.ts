import { errorCatalog } from '../core/errors.ts';
import { httpStatusOf } from './http-status.ts';
import type { Route } from './route.ts';
import { errorAnswer } from './schemas/error.ts';
import type { Fields, JsonSchema } from './schema.ts';
import { parametersOf } from './route-table.ts';

/** Of every answer that is not the route's own. */
const errorStatuses = [...new Set(Object.keys(errorCatalog).map((code) => httpStatusOf(code as never)))].toSorted(
  (one, other) => one - other,
);
const jsonType = 'application/json';

/** The OpenAPI 3.1 document of these routes, made of the very schemas that requests are checked by. Pure. */
export function openApiDocument(routes: readonly Route[], version: string): JsonSchema {
  const paths: Record<string, Record<string, JsonSchema>> = {};
  for (const route of routes) {
    const path = route.path.replaceAll(/:([a-zA-Z]+)/g, '{$1}');
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Cabinet Pipeline admin API',
      version,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      description:
        'A mutation needs Content-Type application/json and the header X-Cabinet-Request: 1. Errors are { error: { code, message, … } }.',
    },
    servers: [{ url: '/' }],
    paths,
    components: {
      schemas: { Error: errorAnswer.json },
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer' },
        session: { type: 'apiKey', in: 'cookie', name: 'cabinet-session' },
      },
    },
  };
}

/** The name of an operation in generated clients. */
function operationIdOf({ method, path }: Route): string {
  const words = path
    .split('/')
    .filter((part) => part !== '' && part !== 'api')
    .map((part) => part.replace(':', 'by-'));
  return [method.toLowerCase(), ...words]
    .join('-')
    .replaceAll(/[-.]+([a-zA-Z])/g, (_, letter: string) => letter.toUpperCase());
}

function operationOf(route: Route): JsonSchema {
  const { role, summary, tag, params, query, body, answer, status } = route;
  const isOpen = role === 'public' || role === 'login';
  const content =
    answer === 'text' ? { 'text/plain': { schema: { type: 'string' } } } : { [jsonType]: { schema: answer.json } };
  return {
    operationId: operationIdOf(route),
    summary,
    tags: [tag],
    'x-role': role,
    security: isOpen ? [] : [{ bearer: [] }, { session: [] }],
    parameters: [
      ...parametersOf(route.path).map((name) => parameter(name, 'path', params)),
      ...Object.keys(query).map((name) => parameter(name, 'query', query)),
      ...(route.method === 'GET' ? [] : [mutationHeader]),
    ],
    ...(body === null ? {} : { requestBody: { required: true, content: { [jsonType]: { schema: body.json } } } }),
    responses: {
      [status]: { description: summary, content },
      ...Object.fromEntries(
        errorStatuses.map((code) => [
          code,
          { description: 'An error', content: { [jsonType]: { schema: { $ref: '#/components/schemas/Error' } } } },
        ]),
      ),
    },
  };
}

const mutationHeader = {
  name: 'X-Cabinet-Request',
  in: 'header',
  required: true,
  schema: { type: 'string', const: '1' },
};

function parameter(name: string, place: 'path' | 'query', fields: Fields): JsonSchema {
  const schema = fields[name];
  return {
    name,
    in: place,
    required: place === 'path' || schema?.isOptional === false,
    schema: schema?.json ?? {},
    ...(schema?.json['type'] === 'array' ? { style: 'form', explode: true } : {}),
  };
}
