// What makes the page more pleasant; everything works without it.
'use strict';
for (const input of document.querySelectorAll('input[type=password]')) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'second show';
  const draw = () => {
    const word = input.type === 'password' ? input.dataset.show : input.dataset.hide;
    button.textContent = word;
    button.setAttribute('aria-label', `${word}: ` + document.querySelector(`label[for=${input.id}]`).textContent);
  };
  button.addEventListener('click', () => { input.type = input.type === 'password' ? 'text' : 'password'; draw(); });
  draw();
  input.after(button);
}
const code = document.getElementById('code');
if (code) {
  const form = code.closest('form');
  code.addEventListener('input', () => {
    const letters = code.value.toUpperCase().replace(/[^A-Z0-9]/g, '').slice(0, 6);
    code.value = letters.length > 3 ? letters.slice(0, 3) + '-' + letters.slice(3) : letters;
  });
  form.addEventListener('submit', () => { form.querySelector('button').setAttribute('aria-disabled', 'true'); });
}
const wrong = document.querySelector('[aria-invalid=true]');
if (wrong) wrong.focus();
const poll = document.querySelector('[data-poll]');
if (poll) {
  let silent = 0;
  const look = async () => {
    try {
      const limit = AbortSignal.timeout ? {signal: AbortSignal.timeout(4000)} : {};
      const answer = await fetch('/status', {cache: 'no-store', ...limit});
      silent = 0;
      if (!answer.ok) { location.reload(); return; }
      const status = await answer.json();
      const state = `${status.phase} ${status.pairing}`;
      if (state !== poll.dataset.state || status.failed) { location.reload(); return; }
      const bar = document.getElementById('progress');
      if (bar) {
        bar.value = status.percent;
        if (poll.textContent !== status.message) poll.textContent = status.message;
      }
    } catch (error) { /* the node restarts, or its address has changed */
      silent++;
      if (silent === 5 && poll.dataset.gone) poll.textContent = poll.dataset.gone;
    }
    setTimeout(look, 1000);
  };
  look();
}
