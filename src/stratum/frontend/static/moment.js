// Offers the reader's own time zone in every field that picks a moment, and shows a moment from a link in it.
// Without it the field works in UTC or in any zone that is chosen.

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const two = (number) => String(number).padStart(2, "0");

function localText(at) {
  const day = [at.getFullYear(), two(at.getMonth() + 1), two(at.getDate())].join("-");
  return `${day}T${[at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":")}`;
}

function offer(field) {
  const choice = field.querySelector("select[name=zone]");
  if (!zone || !choice) return;
  if (![...choice.options].some((option) => option.value === zone)) choice.add(new Option(zone, zone));
  if (!("guessZone" in field.dataset)) return;
  choice.value = zone;
  const input = field.querySelector("input[name=at]");
  const at = new Date(input.dataset.at);
  if (!Number.isNaN(at.getTime())) input.value = localText(at);
}

for (const field of document.querySelectorAll("[data-moment]")) offer(field);

// Whoever picks a time means the choice that it belongs to.
for (const inner of document.querySelectorAll(".choice .inner, .choice .moment-field")) {
  const radio = inner.closest(".choice").querySelector("input[type=radio]");
  inner.addEventListener("input", () => { if (radio) radio.checked = true; });
}
