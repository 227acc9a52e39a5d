// Shows the description that lies beside this page, in the colours that the reader prefers.

const dark = matchMedia("(prefers-color-scheme: dark)");
const paint = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", paint);
paint();

SwaggerUIBundle({
  url: "openapi.json",
  domNode: document.getElementById("api"),
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  filter: true,
  persistAuthorization: false, // a key is forgotten with the page
  queryConfigEnabled: false, // an address may not choose what is shown
  validatorUrl: null, // nobody else is asked what he thinks of it
  tryItOutEnabled: false,
});
