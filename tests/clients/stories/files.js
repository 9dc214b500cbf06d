// Stored files, as the documentation uploads and shows them (https://docs.convex.dev/file-storage/upload-files).
import { ConvexClient, api } from "./official.js";

export async function upload({ url, say }) {
  const client = new ConvexClient(url);
  const shown = new Promise((done) => {
    client.onUpdate(api.files.images, {}, (images) => images.length && done(images));
  });
  const postUrl = await client.mutation(api.files.generateUploadUrl, {});
  const image = new Blob([new Uint8Array([137, 80, 78, 71])], { type: "image/png" });
  const result = await fetch(postUrl, {
    method: "POST",
    headers: { "Content-Type": image.type },
    body: image,
  });
  const { storageId } = await result.json();
  await client.mutation(api.files.sendImage, { storageId, author: "Ada" });
  const [{ author, url: address, body }] = await shown;
  say([author, body === storageId]);
  const loaded = await fetch(address);
  say([loaded.status, loaded.headers.get("content-type"), [...new Uint8Array(await loaded.arrayBuffer())]]);
  await client.mutation(api.files.remove, { storageId });
  say((await fetch(address)).status);
  await client.close();
}
