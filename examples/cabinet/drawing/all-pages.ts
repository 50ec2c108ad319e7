import { hostilePages } from './pages/hostile-pages.ts';
import { jsonLdPages } from './pages/json-ld-pages.ts';
import { microdataPages } from './pages/microdata-pages.ts';
import { photoPages } from './pages/photo-pages.ts';
import type { SamplePage } from './sample-page.ts';

/** All sample pages, in the order of the manifest. */
export const samplePages: readonly SamplePage[] = [...jsonLdPages, ...microdataPages, ...photoPages, ...hostilePages];
