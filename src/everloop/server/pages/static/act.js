// Changes by those who may make them: by the same calls that programs make, from our own pages only (the server looks at the origin).
"use strict";
function say(text, place = document.getElementById("told")) {
  if (place) place.textContent = text;
}

async function send(method, address, body, place) {
  const options = { method, headers: body === undefined ? {} : { "content-type": "application/json" } };
  if (body !== undefined) options.body = JSON.stringify(body);
  try {
    const answer = await fetch(address, options);
    if (answer.ok) return await answer.json();
    const { error } = await answer.json();
    say(`${error.message} ${error.hint ?? ""}`, place);
  } catch {
    say("The server did not answer.", place);
  }
  return null;
}

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-act]");
  if (!form) return;
  event.preventDefault();
  const body = Object.fromEntries(new FormData(form, event.submitter));
  for (const field of form.querySelectorAll("[data-number]")) body[field.name] = Number(body[field.name]);
  let address = form.dataset.act;
  for (const [name, value] of Object.entries(body)) {
    if (!address.includes(`{${name}}`)) continue;
    address = address.replace(`{${name}}`, encodeURIComponent(value));
    delete body[name];
  }
  const question = (event.submitter?.dataset.confirm ?? form.dataset.confirm ?? "").replace("{alias}", form.elements.alias?.value ?? "");
  if (question && !confirm(question)) return;
  if ((await send(form.dataset.method, address, body, form.querySelector("output"))) !== null) location.reload();
});
