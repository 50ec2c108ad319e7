import { render } from 'preact';
import { Inspector } from './inspector.tsx';
import { readTarget } from './stream.ts';

const place = document.getElementById('app');
const target = readTarget(location.hash);
if (place !== null) {
  render(
    target === null ? (
      <main class="inspector">
        <h1>Cabinet inspector</h1>
        <p>Open the link that `cabinet inspect` printed, with all that follows its #.</p>
      </main>
    ) : (
      <Inspector target={target} />
    ),
    place,
  );
}
