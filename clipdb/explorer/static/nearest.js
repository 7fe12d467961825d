// On frozen pages: reads columns of vectors from a Parquet file, by ranges of its bytes, and compares images.
import { asyncBufferFromUrl, parquetMetadataAsync, parquetReadObjects } from "./hyparquet.js";

const [MOST, STRIP] = [24, 8];
const id = (name) => document.getElementById(name);
const cosine = (a, b) => {
  let [dot, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) [dot, aa, bb] = [dot + a[i] * b[i], aa + a[i] * a[i], bb + b[i] * b[i]];
  return dot / Math.sqrt(aa * bb || 1);
};

async function opened({ file, bytes, footer }) {
  const buffer = await asyncBufferFromUrl({ url: file, byteLength: Number(bytes) });
  const metadata = await parquetMetadataAsync(buffer, { initialFetchSize: Number(footer) });
  const read = new Map(); // each column once
  return (...columns) => {
    const key = columns.join();
    if (!read.has(key)) read.set(key, parquetReadObjects({ file: buffer, metadata, columns }));
    return read.get(key);
  };
}

function nearest(rows, column, place, most) {
  const own = rows[place][column];
  if (!own) return [];
  return rows
    .map((row, at) => ({ at, score: row[column] && at !== place ? cosine(own, row[column]) : null }))
    .filter(({ score }) => score !== null)
    .sort((a, b) => b.score - a.score)
    .slice(0, most);
}

function picture(image, head, score) {
  const link = document.createElement("a");
  link.href = `?${new URLSearchParams({ image: image.image_id.slice(0, 16), head })}`;
  const shown = document.createElement("img");
  Object.assign(shown, { width: 128, height: 128, alt: [image.name, image.label].filter(Boolean).join(", ") });
  Object.assign(shown, { loading: "lazy", src: `../${image.picture}` });
  link.append(shown);
  if (score !== undefined) link.append(score.toFixed(3).replace("-", "\u2212"));
  return link;
}

const within = (tag, element) => {
  const made = document.createElement(tag);
  made.append(element);
  return made;
};

async function show() {
  const read = await opened(id("found").dataset);
  const images = await read("image_id", "name", "label", "picture");
  id("names").append(...images.map((image) => Object.assign(document.createElement("option"), { value: image.name })));
  const asked = new URLSearchParams(location.search);
  const wanted = asked.get("image")?.trim() ?? "";
  const place = images.findIndex((image) => image.name === wanted || image.image_id.startsWith(wanted));
  if (place < 0) throw new Error(`no image ${wanted} among the ${images.length} of these pages`);
  const image = images[place];
  const [field, choice] = [document.querySelector("[name=image]"), document.querySelector("[name=head]")];
  [field.value, choice.value] = [image.name, asked.get("head") ?? ""];
  if (choice.selectedIndex < 0) choice.selectedIndex = 0;
  const seer = choice.selectedOptions[0];

  Object.assign(id("picture"), { src: `../${image.picture}`, alt: image.name });
  id("name").textContent = image.name;
  id("about").textContent = [image.image_id.slice(0, 12), image.label].filter(Boolean).join(" · ");
  id("seer").textContent = seer.textContent;
  const { column } = seer.dataset;
  const found = nearest(await read(column), column, place, MOST);
  id("images").append(...found.map(({ at, score }) => within("li", picture(images[at], choice.value, score))));
  if (!found.length) id("about").textContent += ` · it, or any other, has not been through ${seer.textContent}`;
  id("found").hidden = false;
  id("reading").hidden = true;

  id("strips").hidden = false;
  for (const row of document.querySelectorAll("tr[data-column]")) {
    const { column } = row.dataset;
    const seen = nearest(await read(column), column, place, STRIP);
    row.append(...seen.map(({ at }) => within("td", picture(images[at], choice.value))));
  }
  document.documentElement.dataset.done = "";
}

show()
  .catch((error) => {
    id("problem").textContent = `The images can't be compared: ${error.message}.`;
    id("problem").hidden = false;
  })
  .finally(() => (id("reading").hidden = true));
